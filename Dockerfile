# Two images from one file:
#   docker build -t weir .
#   docker build -t weir-upstream --target upstream .   (the examples' upstreams, for their docker-compose.yaml)
# Go compiles for other machines: nothing is emulated.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN mkdir -p /out/examples && go build -trimpath -buildvcs=false -o /out/ \
    -ldflags "-s -w -X github.com/weir-rls/weir/internal/cli.version=${VERSION}" ./cmd/weir && \
    go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/examples/ ./examples/... && \
    mkdir /out/bin && ln -s ../weir /out/bin/ratelimit

FROM gcr.io/distroless/static-debian12:nonroot AS upstream
COPY --from=build /out/examples/ /
USER 65532:65532
EXPOSE 9000
# Another example's: entrypoint: ["/llm-gateway", "-upstream", "0.0.0.0:9000"]
ENTRYPOINT ["/demo", "-upstream", "0.0.0.0:9000"]

# The last stage is what a build without --target makes.
FROM gcr.io/distroless/static-debian12:nonroot AS weir
COPY --from=build /out/weir /weir
# By this name it takes the place of envoyproxy/ratelimit, whose deployments start it so.
COPY --from=build /out/bin/ /bin/
USER 65532:65532
EXPOSE 8081 8080 6070
HEALTHCHECK --interval=5s --timeout=2s --start-period=2s CMD ["/weir", "health"]
ENTRYPOINT ["/weir"]
