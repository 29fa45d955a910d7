# The service as an image: `docker build -t longtask .`, then see docker-compose.yml. The local QStash
# alone: `docker build -t longtask-qstash --target local-qstash .`, then see docs/local-qstash.md.
# BASE_IMAGE may be any with Python 3.11 or newer; all stages use the same.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
RUN python3 -m venv /build && /build/bin/pip install --no-cache-dir "uv>=0.9"
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_PYTHON=/opt/longtask
RUN python3 -m venv --without-pip /opt/longtask
WORKDIR /source
# What we depend on changes less often than what we write: a layer of its own.
COPY pyproject.toml requirements.lock ./
RUN /build/bin/uv pip install --constraint requirements.lock --requirements pyproject.toml --extra traces
COPY README.md LICENSE ./
# What `make vendor` has put beside the page comes along. Without it the page shows code plain.
COPY vendor vendor
COPY src src
RUN /build/bin/uv pip install --no-deps .

FROM ${BASE_IMAGE} AS installed
COPY --from=build /opt/longtask /opt/longtask
ENV PATH=/opt/longtask/bin:$PATH PYTHONDONTWRITEBYTECODE=1 LONGTASK_HOST=0.0.0.0 LONGTASK_DATA=/data
# No home, no rights, and nothing to write but the data file. With Redis and QStash there is none.
RUN install -d -m 700 -o 10001 -g 10001 /data
VOLUME /data
USER 10001:10001
WORKDIR /

# In the place of Upstash's image of QStash's development server: the same command, port and users.
FROM installed AS local-qstash
COPY deploy/qstash /usr/local/bin/qstash
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8080/', timeout=2)"]
CMD ["qstash", "dev"]

FROM installed
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('LONGTASK_PORT', '8000') + '/healthz', timeout=2)"]
CMD ["longtask", "serve"]
