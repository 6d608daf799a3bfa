"""python3 standard.py PHOTOGRAPH…, with nothing but Python's standard library."""

import json
import os
import sys
import uuid
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class TagmaError(Exception):
    """What the server refused. Programs go by the code, see docs/errors.md."""

    def __init__(self, error):
        self.code = error["extensions"]["code"]
        super().__init__(f"{self.code}: {error['message']}")
        self.problems = error["extensions"].get("problems", [])


class Tagma:
    """A server, and the token by which it knows who is asking."""

    def __init__(self, url):
        self.url = url + "/graphql"
        self.token = None

    def ask(self, query, **variables):
        """The data of an operation's answer."""
        body = json.dumps({"query": query, "variables": variables})
        return self._send(body.encode(), "application/json")

    def upload(self, query, paths):
        """The data of an answer to an operation with the variable $files."""
        operations = {"query": query, "variables": {"files": [None] * len(paths)}}
        places = {str(n): [f"variables.files.{n}"] for n in range(len(paths))}
        parts = [('name="operations"', json.dumps(operations).encode())]
        parts += [('name="map"', json.dumps(places).encode())]
        parts += [
            (f'name="{n}"; filename="{path.name}"', path.read_bytes())
            for n, path in enumerate(paths)
        ]
        boundary = uuid.uuid4().hex
        body = b""
        for head, content in parts:
            body += f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
            body += content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return self._send(body, f"multipart/form-data; boundary={boundary}")

    def _send(self, body, content_type):
        request = Request(self.url, body, {"Content-Type": content_type})
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=60) as response:
                answer = json.load(response)
        except HTTPError as refused:  # its body has the same form
            answer = json.load(refused)
        if answer.get("errors"):
            raise TagmaError(answer["errors"][0])
        return answer["data"]


SIGN_IN = """mutation SignIn($username: String!, $password: String!) {
  login(username: $username, password: $password) { token }
}"""
UPLOAD = """mutation Upload($files: [Upload!]!) {
  uploadImages(files: $files) {
    results { filename verdict image { takenAt md5 device { name } } }
  }
}"""
ANNOTATE = """mutation Annotate($input: [AnnotationInput!]!) {
  putAnnotations(input: $input) { results { annotation { id } } }
}"""
SERIES = """query Series($series: [SeriesInput!]!, $after: String) {
  imageSeries(series: $series, first: 2, after: $after) {
    nodes { takenAt annotations { objects { name contour } } }
    pageInfo { hasNextPage endCursor }
  }
}"""


def images(tagma, series):
    """Walks through a series, page by page."""
    after = None
    while True:
        page = tagma.ask(SERIES, series=[series], after=after)["imageSeries"]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def main():
    tagma = Tagma(os.environ.get("TAGMA_URL", "http://127.0.0.1:8080"))
    user, password = os.environ["TAGMA_USER"], os.environ["TAGMA_PASSWORD"]
    tagma.token = tagma.ask(SIGN_IN, username=user, password=password)["login"]["token"]

    results = tagma.upload(UPLOAD, [Path(path) for path in sys.argv[1:]])
    for result in results["uploadImages"]["results"]:
        print(result["filename"], result["verdict"])

    image = results["uploadImages"]["results"][0]["image"]
    device = image["device"]["name"]
    annotation = {
        "image": {"device": device, "takenAt": image["takenAt"]},
        "md5": image["md5"],
        "algorithm": {"name": "by-hand", "version": "1"},
        "objects": [{"name": "moth", "contour": [[10, 10], [60, 10], [35, 50]]}],
    }
    tagma.ask(ANNOTATE, input=[annotation])

    series = {
        "device": device,
        "start": "2020-01-01T00:00:00Z",
        "end": "2030-01-01T00:00:00Z",
    }
    for image in images(tagma, series):
        print(image["takenAt"], len(image["annotations"]))


main()
