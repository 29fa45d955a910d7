"""HTTP/1.1 on uvicorn, with bounds on what a client may send, hold and keep waiting."""
