"""Ollama's `/api/chat`: one JSON document a line, the last with `done`.

From https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion; an error after the headers is a
line with `error`.
"""

import json
from typing import Any

from tests.llm.servers.wire import Server


class OllamaServer(Server):
    content_type = "application/x-ndjson"

    def piece(self, text: str, position: int) -> bytes:
        return self._line(message={"role": "assistant", "content": text}, done=False)

    def end(self) -> bytes:
        prompt, completion = self.scene.usage
        return self._line(
            message={"role": "assistant", "content": ""},
            done_reason=self.scene.finish,
            done=True,
            total_duration=4_883_583_458,
            load_duration=1_334_875,
            prompt_eval_count=prompt,
            prompt_eval_duration=342_546_000,
            eval_count=completion,
            eval_duration=4_535_599_000,
        )

    def fault(self) -> bytes:
        return b'{"error": "an error was encountered while running the model: CUDA error"}\n'

    def wrong_shape(self) -> bytes:
        return b'{"message": "fine weather", "done": "perhaps"}\n'

    def refusal(self, echo: str) -> bytes:
        return json.dumps({"error": f"No: {echo}"}).encode()

    def _line(self, **fields: Any) -> bytes:
        document = {"model": "a-model", "created_at": "2026-01-01T00:00:00.000000Z", **fields}
        return f"{json.dumps(document, ensure_ascii=False)}\n".encode()
