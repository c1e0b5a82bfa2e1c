# syntax=docker/dockerfile:1.7
# One image with the programs gateway, billing, keyctl and documents: `make image`.
#
# Same sources, same base images: same programs. For a release, pin both base images by digest:
#   --build-arg RUST_IMAGE=rust@sha256:.. --build-arg BASE_IMAGE=debian@sha256:..
# Another processor: --platform linux/arm64, on a builder of that kind or by emulation.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
# Versions of the tools that build are those of the pinned base image's release.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      g++ make cmake pkg-config libssl-dev zlib1g-dev libcurl4-openssl-dev python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV CARGO_TERM_COLOR=never \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"
COPY . .
ARG TARGETPLATFORM
ARG COMMIT=unknown
ARG SOURCE_DATE_EPOCH=0
ENV TOLLGATE_COMMIT=${COMMIT}
# Dependencies and what was built before stay in caches of the builder; only the programs go on.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=tollgate-target-${TARGETPLATFORM} \
    cargo build --locked --profile dist --bin gateway --bin billing --bin keyctl \
    && cargo build --locked --release --manifest-path documents/Cargo.toml --target-dir target/documents \
    && mkdir -p /out \
    && cp target/dist/gateway target/dist/billing target/dist/keyctl target/documents/release/documents /out/ \
    && strip /out/*

FROM ${BASE_IMAGE}
ARG COMMIT=unknown
ARG VERSION=0.1.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Tollgate" \
      org.opencontainers.image.description="API gateway with usage-based billing" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
COPY deploy/docker/root.sh /root.sh
RUN sh /root.sh && rm /root.sh
COPY deploy/docker/healthcheck /usr/local/bin/healthcheck
COPY deploy/docker/gateway.yaml deploy/docker/billing.yaml config/plans.yaml /etc/tollgate/
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
WORKDIR /var/lib/tollgate
VOLUME /var/lib/tollgate
# 8080 clients, 8081 decisions, 8090 business API, 8091 ingest, 9901 operators of the gateway
EXPOSE 8080 8081 8090 8091 9901
# Both programs end in order on SIGTERM: requests in flight are answered, the journal is handed in.
STOPSIGNAL SIGTERM
# For billing, name its port and path: healthcheck 8090 /health
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["healthcheck", "9901", "/health/ready"]
CMD ["gateway", "--config", "/etc/tollgate/gateway.yaml"]
