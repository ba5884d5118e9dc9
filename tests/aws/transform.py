"""Prints the CloudFormation template that a SAM template becomes: functions and
state machines are plain resources. Faults that no check finds in the SAM source show there.

Usage: python transform.py TEMPLATE
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

NO_MANAGED_POLICIES = SimpleNamespace(load=dict)


def main() -> None:
    template = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    validator = SamTemplateValidator(
        template,
        NO_MANAGED_POLICIES,
        region="us-east-1",
        parameter_overrides={},
    )
    print(validator.get_translated_template_if_valid())


main()
