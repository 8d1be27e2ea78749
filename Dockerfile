FROM python:3.13-slim-trixie AS build

# Only for `strip`: most of PyYAML's compiled part is debug information.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build
COPY requirements-build.txt requirements.txt ./
RUN python -m venv tools \
    && tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.txt \
    && python -m venv --without-pip /opt/action \
    && tools/bin/pip --python /opt/action install --no-cache-dir --no-compile --only-binary :all: \
        --require-hashes --requirement requirements.txt

COPY LICENSE README.md pyproject.toml ./
COPY src/matatika_deploy src/matatika_deploy
# What goes: the virtual environment's scripts, packages' own tests, charset-normalizer, which the action keeps requests
# from importing (see runtime/bootstrap.py), and debug information.
# The bytecode is taken as it is, whatever the time stamps of the sources become on the way into a layer.
# The post step's entry point is one path, without arguments: a file that starts Python as the main step's does, and then
# does what entrypoint.py does there.
RUN tools/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir dist . \
    && tools/bin/pip --python /opt/action install --no-compile --no-deps --no-index dist/*.whl \
    && find /opt/action/bin -type f -delete \
    && find /opt/action/lib -type d \( -name tests -o -name 'charset_normalizer*' \) -prune -exec rm -r {} + \
    && find /opt/action -name '*.so' -exec strip --strip-unneeded {} + \
    && /opt/action/bin/python -I -m compileall -q --invalidation-mode unchecked-hash /opt/action/lib \
    && printf '%s\n' '#!/opt/action/bin/python -Iu' 'from matatika_deploy.runtime.bootstrap import run' 'run("matatika_deploy.post")' \
        >/opt/action/post \
    && chmod 755 /opt/action/post
COPY entrypoint.py /opt/action/


FROM python:3.13-slim-trixie

LABEL org.opencontainers.image.title="matatika-deploy-action" \
      org.opencontainers.image.description="Deploys a workspace to Matatika Cloud or Meltano Cloud and follows the deployment to its end" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-trixie"

COPY --from=build /opt/action /opt/action
# The base image has the standard library without bytecode: without this, each start would compile what it imports.
RUN ["/opt/action/bin/python", "-I", "-W", "ignore", "-c", "import encodings.idna, pkgutil, matatika_deploy, requests, yaml; [__import__(module.name) for module in pkgutil.walk_packages(matatika_deploy.__path__, 'matatika_deploy.')]"]

# No USER: the runner's command files belong to root. Isolated (-I): the workflow's own PYTHON* variables reach this container too.
ENTRYPOINT ["/opt/action/bin/python", "-I", "-u", "/opt/action/entrypoint.py"]
