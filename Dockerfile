# Tagma as an image that holds one static file, and what it needs of the world:
# certificates, a folder to keep data in, and one for temporary files.
#
#   docker build -t tagma .
#   docker run -p 127.0.0.1:8080:8080 -v tagma:/var/lib/tagma tagma
#
# docs/operations.md says more.

FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
ENV GOMODCACHE=/cache/modules GOCACHE=/cache/built
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache go mod download
COPY . .
ARG VERSION TARGETOS TARGETARCH
RUN --mount=type=cache,target=/cache \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/tagma . && \
    install -d /out/data/labels.git && install -d -m 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/tagma /usr/local/bin/tagma
COPY --from=build --chown=65532:65532 /out/data /var/lib/tagma
COPY --from=build --chown=65532:65532 /out/tmp /tmp
ENV PATH=/usr/local/bin HOME=/var/lib/tagma TAGMA_LISTEN=:8080 TAGMA_DATA=/var/lib/tagma TAGMA_LOG_FORMAT=json
USER 65532:65532
WORKDIR /var/lib/tagma
VOLUME /var/lib/tagma
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=11s --start-period=1m CMD ["tagma", "ready"]
ENTRYPOINT ["tagma"]
