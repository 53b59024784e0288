# The operator's image: a Python runtime, the pinned requirements, the package. No shell, no package
# manager, no pip, no compiler: the last stage starts from nothing and takes over only what runs.
#
#   docker build -t eventsource-operator:dev .
#
# BASE is any Debian-based image with Python 3.11 or newer and its venv module. It provides the
# interpreter, the C library and the CA bundle; tools/image/assemble.py takes just those out of it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
COPY requirements/run.txt ./
# Only wheels, each with its recorded hash: nothing is compiled, nothing unknown is installed.
RUN ["python3", "-m", "venv", "/build/venv"]
RUN ["/build/venv/bin/python", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", \
     "--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement=run.txt", \
     "--target=/build/requirements/app"]
COPY tools/image/assemble.py ./
RUN ["python3", "assemble.py", "runtime", "--requirements", "/build/requirements/app", "--into", "/build/runtime"]
COPY LICENSE README.md /build/package/app/
COPY operator/eventsource_operator /build/package/app/eventsource_operator
RUN ["python3", "assemble.py", "package", "--app", "/build/package/app"]

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eventsource-operator" \
      org.opencontainers.image.description="A change of a Kubernetes object becomes an Argo Workflows event" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# From what changes least to what changes most, so that an update of the operator is one small layer.
COPY --from=build /build/runtime /
COPY --from=build /build/requirements /
COPY --from=build /build/package /
# Bytecode is compiled at build time and the root file system is read-only: writing it would only fail.
# Two malloc arenas instead of eight per core: less memory for the same work.
ENV PATH=/usr/local/bin:/usr/bin \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    LANG=C.UTF-8 \
    HOME=/nonexistent \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080
# Exec form: the operator is process 1 and gets SIGTERM itself.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "-m", "eventsource_operator"]
CMD ["run"]
