"""What a problem tells of a body or a query."""

from litestar.plugins.problem_details import ProblemDetailsException


def told_faults(problem: ProblemDetailsException) -> dict[str, str]:
    """The messages by the fields, of a problem that says that a request is invalid."""
    assert problem.status_code == 400
    assert isinstance(problem.extra, dict)
    return {each["field"]: each["message"] for each in problem.extra["errors"]}
