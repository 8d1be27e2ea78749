FROM python:3.13-slim-trixie AS build

WORKDIR /build
COPY requirements.txt ./

# pip and apt-get take some seconds each, so they run side by side. busybox is for runners that look into the image. The
# lists of packages stay: a base image without licences gets them from the archive (see tools/image).
# hadolint ignore=DL3008,DL3009
RUN pip install --disable-pip-version-check --no-cache-dir --no-compile --root-user-action ignore \
        --only-binary :all: --require-hashes --requirement requirements.txt & \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get --option Acquire::Languages=none update \
    && apt-get install --yes --no-install-recommends busybox-static \
    && wait $!

# Only what .dockerignore names.
COPY . .
RUN python -m tools.image /image


FROM scratch

LABEL org.opencontainers.image.title="matatika-deploy-action" \
      org.opencontainers.image.description="Deploys a workspace to Matatika Cloud or Meltano Cloud and follows the deployment to its end" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-trixie"

ENV PATH=/usr/local/bin:/usr/bin:/bin

COPY --from=build /image /

# No USER: the runner's command files belong to root.
ENTRYPOINT ["/opt/action/main"]
