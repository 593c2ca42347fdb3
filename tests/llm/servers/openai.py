"""OpenAI's chat completions: server-sent events, one JSON document each, then `[DONE]`.

From https://platform.openai.com/docs/api-reference/chat-streaming: with `stream_options.include_usage` the usage comes
in a last event without choices.
"""

import json
from typing import Any

from tests.llm.servers.wire import Server

_REASONS = {
    "too long": "context_length_exceeded",
    "quota": "insufficient_quota",
    "withheld": "content_filter",
}


class OpenAIServer(Server):
    content_type = "text/event-stream"

    def piece(self, text: str, position: int) -> bytes:
        return self._event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])

    def end(self) -> bytes:
        reason = "content_filter" if self.scene.finish == "withheld" else self.scene.finish
        prompt, completion = self.scene.usage
        return (
            self._event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
            + self._event(
                choices=[],
                usage={
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                },
            )
            + b"data: [DONE]\n\n"
        )

    def fault(self) -> bytes:
        return b'data: {"error": {"message": "CUDA out of memory", "type": "server_error", "code": 500}}\n\n'

    def wrong_shape(self) -> bytes:
        return b'data: {"weather": "fine"}\n\n'

    def refusal(self, echo: str) -> bytes:
        code = _REASONS.get(self.scene.reason)
        return json.dumps({"error": {"message": f"No: {echo}", "type": "error", "param": echo, "code": code}}).encode()

    def _event(self, **fields: Any) -> bytes:
        document = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "a-model",
            **fields,
        }
        return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()
