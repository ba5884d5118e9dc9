"""Checks of the template and the state machines that no linter has: they deploy in every partition, functions get
secrets by name, every alarm says what to do and where it is explained, and an enabled schedule requires an alert
address.

Usage: python deployable.py TRANSFORMED_TEMPLATE
"""

import json
import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra/aws"
TROUBLESHOOTING = ROOT / "docs/troubleshooting.md"
# `aws`, `aws-cn`, `aws-us-gov`: one of them in an ARN holds in that partition alone.
LITERAL_PARTITION = re.compile(r"arn:aws[a-z-]*:")
# Of the services that the template names, those whose principals end otherwise in China.
PARTITIONED_PRINCIPAL = re.compile(r"logs\.[^\s\"']*amazonaws\.com")
SECTION = re.compile(r"\(docs/troubleshooting\.md#([a-z0-9-]+)\)\.$")
# Secrets Manager ends an ARN with a hyphen and six characters of its own.
SUFFIX = "-??????"


def partitions() -> list[str]:
    """Lines below infra/aws that are valid in one partition only."""
    return [
        f"{path.relative_to(ROOT)}:{number}: names a partition: use ${{AWS::Partition}}, or ${{Partition}} in a state machine"
        for path in sorted(INFRA.rglob("*"))
        if path.is_file() and ".aws-sam" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LITERAL_PARTITION.search(line) or PARTITIONED_PRINCIPAL.search(line)
    ]


def sections() -> set[str]:
    """Anchors of the headings of the troubleshooting guide, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", TROUBLESHOOTING.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def alarms(resources: dict) -> list[str]:
    """Alarms that do not say what to do, alert nobody, or name a section that does not exist."""
    known, faults = sections(), []
    for name, resource in resources.items():
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        described = resource["Properties"]["AlarmDescription"]
        named = SECTION.search(described)
        if not named or named[1] not in known:
            faults.append(f"{name}: its description names no section of docs/troubleshooting.md: {described}")
        if len(described) > 1024:
            faults.append(f"{name}: its description is longer than the 1024 characters that CloudWatch takes")
        for actions in ("AlarmActions", "OKActions"):
            if resource["Properties"].get(actions) != [{"Ref": "Alerts"}]:
                faults.append(f"{name}: {actions} do not alert")
    return faults


def waiting(resources: dict) -> list[str]:
    """Silver tables without an alarm on the loads that wait for them."""
    tables = {name.replace("-", "_") for name in folders() if name}
    alarmed = {
        dimension["Value"]
        for resource in resources.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and resource["Properties"]["MetricName"] == "LoadsWaiting"
        for dimension in resource["Properties"]["Dimensions"]
        if dimension["Name"] == "Entity"
    }
    return [f"{table}: no alarm on its loads that wait" for table in sorted(tables ^ alarmed)]


def folders() -> set[str]:
    return {folder.name.removeprefix("silver-") for folder in (ROOT / "functions").glob("silver-*")}


def secrets(resources: dict) -> list[str]:
    """Functions that get an ARN of a secret, permissions for more or less than one secret with its suffix, and secrets of
    sample hospitals in every stack."""
    faults = []
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            for variable, value in resource["Properties"].get("Environment", {}).get("Variables", {}).items():
                if "SECRET" in variable and not str(value.get("Fn::Sub", "")).startswith("rcm/"):
                    faults.append(f"{name}: {variable} is no name of a secret: {json.dumps(value)}")
        if resource["Type"] == "AWS::SecretsManager::Secret" and "/emr/" in json.dumps(resource["Properties"]["Name"]):
            if "Condition" not in resource:
                faults.append(f"{name}: the secret of a sample database is made in every stack")
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    resource_of = json.dumps(statement.get("Resource", ""))
                    if "secretsmanager:GetSecretValue" in statement["Action"] and SUFFIX not in resource_of:
                        faults.append(f"{name}: its right to a secret ends without `{SUFFIX}`: {resource_of}")
    return faults


def lake_policy(resources: dict) -> list[str]:
    """Layers that accept a write with another key than their own, of KMS or of S3."""
    statements = resources["LakePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    header = "s3:x-amz-server-side-encryption"

    def kept(condition: str, is_meant) -> set[str]:
        """Prefixes of the lake where a write with another value is refused."""
        return {
            each["Fn::Sub"].removeprefix("${Lake.Arn}/").removesuffix("*").removesuffix("/")
            for statement in statements
            if (statement["Effect"], statement["Action"]) == ("Deny", "s3:PutObject")
            and statement["Condition"].get("Null") == {condition: "false"}
            and is_meant(statement["Condition"].get("StringNotEquals", {}).get(condition))
            for each in statement["Resource"]
        }

    layers = {"landing", "emr", "configs", "bronze", "silver", "quarantine", "gold", "report", "audit"}
    unkept = layers - kept(f"{header}-aws-kms-key-id", lambda key: isinstance(key, dict))
    faults = [f"LakePolicy: {layer}/ takes writes under other keys of KMS" for layer in sorted(unkept)]
    if kept(header, lambda wanted: wanted == "aws:kms") != {""}:
        faults.append("LakePolicy: a write may ask for the key of S3 (AES256)")
    return faults


def told(template: dict) -> list[str]:
    """Whether the template allows an enabled schedule without an alert address."""
    for rule in template.get("Rules", {}).values():
        asked = json.dumps(rule)
        if all(word in asked for word in ("ScheduleState", "ENABLED", "AlertEmail", "Fn::Not")):
            return []
    return ["Rules: none asks for AlertEmail while ScheduleState is ENABLED"]


def main() -> None:
    template = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    resources = template["Resources"]
    faults = partitions() + alarms(resources) + waiting(resources)
    faults += secrets(resources) + lake_policy(resources) + told(template)
    if faults:
        sys.exit("\n".join(faults))
    print("template and state machines name no partition; alarms, secrets and keys are as they should be")


main()
