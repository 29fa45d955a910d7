"""openai-python, an older version, against a service, as a program of its own: reads responses in
every way, and prints what is wrong with each."""

import json
import sys
import traceback

from openai import OpenAI
from pydantic import BaseModel

from tests.official.reading import by_helper, read_in_every_way


class Place(BaseModel):
    city: str


def fault_of(client: OpenAI, response_id: str, parsed: bool) -> str | None:
    try:
        if parsed:
            _, final = by_helper(client, response_id, text_format=Place)
            parsed_place = None if final is None else final.output_parsed
            return None if parsed_place is None else parsed_place.city
        read_in_every_way(client, response_id, every_resume=False)
    except Exception:
        return traceback.format_exc()
    return None


def main(url: str) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        for line in sys.stdin:
            case = json.loads(line)
            told = {"told": fault_of(client, case["response"], case["parsed"])}
            print(json.dumps(told), flush=True)


main(sys.argv[1])
