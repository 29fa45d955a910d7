"""The OpenAI face: `/v1` as OpenAI's own clients speak it. A response is a task, a task a response.

Wire facts: https://developers.openai.com/docs/api-reference/responses, and the SDKs themselves.
"""
