"""Gemini's `streamGenerateContent` over REST: one JSON array that grows, as google-generativeai asks for it.

From https://ai.google.dev/api/generate-content: each element is a GenerateContentResponse; the last candidate has the
`finishReason`. The client asks for enums as numbers (`$alt=json;enum-encoding=int`). Errors are google.rpc.Status
(https://cloud.google.com/apis/design/errors), in an array too where the method streams.
"""

import json
from typing import Any

from tests.llm.servers.wire import Server

# Candidate.FinishReason: STOP, MAX_TOKENS, SAFETY.
_FINISH = {"stop": 1, "length": 2, "withheld": 3}
# PromptFeedback.BlockReason: SAFETY.
_BLOCKED = 1


class GeminiServer(Server):
    content_type = "application/json; charset=UTF-8"

    def piece(self, text: str, position: int) -> bytes:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        return (b",\r\n" if position else b"[") + self._element(candidates=[candidate])

    def end(self) -> bytes:
        separator = b",\r\n" if self.scene.pieces else b"["
        if self.scene.reason == "withheld":
            return separator + self._element(promptFeedback={"blockReason": _BLOCKED}) + b"\r\n]"
        candidate = {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": _FINISH[self.scene.finish],
            "index": 0,
        }
        if self.scene.finish == "withheld":
            # The API leaves the content out; `.text` of the SDK raises on that.
            del candidate["content"]
        return separator + self._element(candidates=[candidate]) + b"\r\n]"

    def fault(self) -> bytes:
        return b',\r\n{"error": {"code": 500, "message": "Internal error encountered.", "status": "INTERNAL"}}\r\n]'

    def wrong_shape(self) -> bytes:
        return b',\r\n{"candidates": "fine weather"}\r\n]'

    def refusal(self, echo: str) -> bytes:
        too_long = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576). "
        error: dict[str, Any] = {
            "code": self.scene.status,
            "message": (too_long if self.scene.reason == "too long" else "No: ") + echo,
            "status": "RESOURCE_EXHAUSTED" if self.scene.status == 429 else "INVALID_ARGUMENT",
        }
        if self.scene.reason == "retry info":
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        return json.dumps([{"error": error}]).encode()

    def _element(self, **fields: Any) -> bytes:
        prompt, completion = self.scene.usage
        usage = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": completion,
            "totalTokenCount": prompt + completion,
        }
        return json.dumps({**fields, "usageMetadata": usage, "modelVersion": "a-model"}, ensure_ascii=False).encode()
