"""OpenAI's API on Longtask: responses and chat completions, for clients that know no other."""
