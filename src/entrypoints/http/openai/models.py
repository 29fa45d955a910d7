"""/v1/models: the models that requests may name."""

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.params import PathParameter

from application.accounts import Caller
from application.ports import OfferedModel
from entrypoints.http.parts import Parts
from entrypoints.http.problems import problem

Json = dict[str, Any]
ModelName = Annotated[str, PathParameter(description="It may hold slashes.")]


class ModelController(Controller):
    path = "/models"

    @get("", include_in_schema=False)
    async def list_all(self, request: Request[Caller, Any, Any], parts: Parts) -> Json:
        models = await parts.use_cases.list_models(request.user.owner)
        return {"object": "list", "data": [_body(each) for each in models]}

    @get("/{name:path}", include_in_schema=False)
    async def one(self, name: ModelName, request: Request[Caller, Any, Any], parts: Parts) -> Json:
        wanted = name.removeprefix("/")
        for each in await parts.use_cases.list_models(request.user.owner):
            if each.name == wanted:
                return _body(each)
        raise problem(404, "model-not-found", f"The model '{wanted}' does not exist.")


def _body(model: OfferedModel) -> Json:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner,
    }
