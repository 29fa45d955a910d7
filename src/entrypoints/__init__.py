"""How the service is reached and started: HTTP, the command line, and what joins the parts."""

__version__ = "0.1.0"
