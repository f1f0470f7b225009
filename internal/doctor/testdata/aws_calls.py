# Says of each file of shell commands given which calls of the AWS command line
# (version 2) it would not understand. Nothing is sent: the parameters of a call
# are compared with the service's model in place of that.
import contextlib
import io
import os
import re
import shlex
import sys

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]  # without credentials nothing could be sent
os.environ.update(AWS_DEFAULT_REGION="eu-west-1", AWS_EC2_METADATA_DISABLED="true",
                  AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)

from awscli import clidriver
from awscli.botocore.validate import validate_parameters
from awscli.customizations import waiters


def compare(caller, service, operation, parameters, _):
    model = caller._session.get_service_model(service).operation_model(operation)
    validate_parameters(parameters, model.input_shape)
    return 0


clidriver.CLIOperationCaller.invoke = waiters.WaiterCaller.invoke = compare
driver = clidriver.create_clidriver()


def calls(text):
    for line in text.replace("\\\n", " ").splitlines():
        call = re.search(r"(^|\$\()aws (.*)", line)
        if call:
            rest = call[2].rpartition(")")[0] if call[1] else call[2]
            words = [re.sub(r"\$\w+", "x", w) for w in shlex.split(rest, comments=True)]
            yield words[:words.index("|")] if "|" in words else words


def fault(words):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = driver.main(words)
        except SystemExit as e:
            code = e.code
    return " ".join(said.getvalue().split())[-300:] if code else None


for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as f:
        for words in calls(f.read()):
            if said := fault(words):
                print(f"{name}: aws {' '.join(words)}: {said}")
