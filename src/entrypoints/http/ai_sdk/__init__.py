"""The face of the AI SDK: React's `useChat` is a client of Longtask."""
