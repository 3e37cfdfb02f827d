# pyRTR in an image of its own: docs/install.md says how to run it, packaging/try-image builds and tries it.

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
# What is locked changes less often than the program: a layer of its own.
COPY poetry.lock ./
COPY tools/requirements.py tools/
RUN python -m venv --without-pip /opt/pyrtr \
    && python tools/requirements.py main > requirements.txt \
    && pip --python /opt/pyrtr/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements.txt \
    # numpy's own tests are a tenth of the image.
    && find /opt/pyrtr -type d -name tests -prune -exec rm -r {} +
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip --python /opt/pyrtr/bin/python install --no-cache-dir --no-deps . \
    && install -d -o 8323 -g 8323 -m 700 /build/state

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="pyRTR" \
    org.opencontainers.image.description="An RPKI-to-Router (RTR) cache" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/pyrtr /opt/pyrtr
# A new volume there takes over its owner and mode.
COPY --from=build --chown=8323:8323 /build/state /state
ENV PATH=/opt/pyrtr/bin:$PATH \
    HOST=0.0.0.0,:: \
    STATE=/state
VOLUME /state
EXPOSE 8323 8080
USER 8323:8323
# Healthy is what /healthz calls so.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["pyrtr", "status"]
ENTRYPOINT ["pyrtr"]
