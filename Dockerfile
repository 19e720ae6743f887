# unmask serve in a container, as a user without rights.
#
#     docker build --target cpu -t unmask .
#     docker run --rm -p 127.0.0.1:8000:8000 unmask
#
#     docker build --target cuda -t unmask:cuda .
#     docker run --rm --gpus all -p 127.0.0.1:8000:8000 -v models:/models unmask:cuda \
#         GSAI-ML/LLaDA-8B-Instruct --api-key SECRET
#
# What stands behind the image's name are options of `unmask serve`. Downloads are kept in /models.
# Packages come from uv.lock with their hashes; only the CPU build of torch, which PyPI does not have
# for Linux, comes from PyTorch's own index by its version.

FROM python:3.13-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 \
    VIRTUAL_ENV=/opt/unmask
RUN pip install --no-cache-dir uv==0.13.9 && uv venv "$VIRTUAL_ENV"
WORKDIR /source
COPY pyproject.toml uv.lock ./

FROM build AS build-cpu
RUN uv export --quiet --frozen --no-emit-project --extra serve --prune torch --output-file packages.txt \
    && uv pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu \
    && uv pip install --require-hashes --requirements packages.txt
COPY README.md LICENSE ./
COPY src src
RUN uv pip install --no-deps .

FROM build AS build-cuda
RUN uv export --quiet --frozen --no-emit-project --extra serve --output-file packages.txt \
    && uv pip install --require-hashes --requirements packages.txt
COPY README.md LICENSE ./
COPY src src
RUN uv pip install --no-deps .

FROM python:3.13-slim-bookworm AS runtime
RUN useradd --uid 10001 --create-home unmask && install --directory --owner unmask /models
ENV PATH=/opt/unmask/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/models
USER 10001
WORKDIR /home/unmask
VOLUME /models
EXPOSE 8000
# A big checkpoint is read, or downloaded, before the port opens: hence the long start.
HEALTHCHECK --start-period=30m --interval=10s --timeout=5s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["unmask", "serve", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS cuda
COPY --from=build-cuda /opt/unmask /opt/unmask

FROM runtime AS cpu
COPY --from=build-cpu /opt/unmask /opt/unmask
