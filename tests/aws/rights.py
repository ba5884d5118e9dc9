"""Checks what a stand-in of AWS does not: that whoever may read or write objects of a layer may use
the layer's key, and that no policy is longer than IAM takes.

Usage: python rights.py TRANSFORMED_TEMPLATE
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from samcli.yamlhelper import yaml_parse

KEYS = {
    "landing": "LandingKey",
    "emr": "LandingKey",
    "configs": "LandingKey",
    "bronze": "BronzeKey",
    "silver": "SilverKey",
    "quarantine": "QuarantineKey",
    "gold": "GoldKey",
    "report": "GoldKey",
    "audit": "AuditKey",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html: parts are put together with Decrypt.
NEEDED = {
    "s3:GetObject": "kms:Decrypt",
    "s3:PutObject": "kms:GenerateDataKey",
    "s3:AbortMultipartUpload": "kms:Decrypt",
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: characters without blanks.
LONGEST_MANAGED_POLICY = 6144
LONGEST_INLINE_POLICIES = 10240
# What an intrinsic function may become.
LONGEST_NAME = 128
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html: 63 characters, after `arn:aws-us-gov:s3:::`.
LONGEST_BUCKET_ARN = 83
# `arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/` and an identifier of 36.
LONGEST_KEY_ARN = 96
# What the parameter's pattern allows.
LONGEST_ENVIRONMENT = 12


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(document: dict) -> Iterator[tuple[list[str], list]]:
    """Actions and resources that a policy allows."""
    for statement in listed(document["Statement"]):
        if statement["Effect"] == "Allow":
            yield listed(statement["Action"]), listed(statement.get("Resource", []))


def keys_of_layers(resource) -> set[str]:
    """Keys of the layers of the lake that an object's ARN names."""
    text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else ""
    prefix = "${Lake.Arn}/"
    if not isinstance(text, str) or not text.startswith(prefix):
        return set()
    layer = text[len(prefix) :].split("/")[0]
    return set(KEYS.values()) if layer == "*" else {KEYS[layer]}


def key(resource) -> str | None:
    target = resource.get("Fn::GetAtt") if isinstance(resource, dict) else None
    name = target.split(".")[0] if isinstance(target, str) else (target or [""])[0]
    return name if name.endswith("Key") else None


def missing(documents: list[dict]) -> set[str]:
    """Missing permissions for keys that the permissions for objects need."""
    needed, held = set(), set()
    for document in documents:
        for actions, resources in statements(document):
            keys = set().union(*map(keys_of_layers, resources))
            needed |= {(NEEDED[action], name) for name in keys for action in actions if action in NEEDED}
            held |= {(action, name) for name in filter(None, map(key, resources)) for action in actions}
    return {f"{action} of {name}" for action, name in needed - held}


def length(value) -> int:
    """Maximum number of characters of a policy, for the longest possible names."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Ref", "Fn::GetAtt"):
        return (LONGEST_KEY_ARN if key(value) else LONGEST_NAME) + 2
    if isinstance(value, dict) and list(value) == ["Fn::Sub"]:
        text = value["Fn::Sub"].replace("${Lake.Arn}", "x" * LONGEST_BUCKET_ARN)
        text = text.replace("${EnvironmentName}", "x" * LONGEST_ENVIRONMENT)
        return len(text) + 2 + 20 * text.count("${AWS::") + LONGEST_NAME * (text.count("${") - text.count("${AWS::"))
    if isinstance(value, dict):
        return 2 + sum(len(json.dumps(name)) + 2 + length(each) for name, each in value.items())
    if isinstance(value, list):
        return 2 + sum(1 + length(each) for each in value)
    return len(json.dumps(value))


def main() -> None:
    resources = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))["Resources"]
    managed = {
        name: each["Properties"]["PolicyDocument"]
        for name, each in resources.items()
        if each["Type"] == "AWS::IAM::ManagedPolicy"
    }
    faults = [
        f"{name}: {length(document)} characters, of which IAM takes {LONGEST_MANAGED_POLICY}"
        for name, document in managed.items()
        if length(document) > LONGEST_MANAGED_POLICY
    ]
    audiences = {name: [document] for name, document in managed.items() if name != "StagePolicy"}
    roles = {}
    for name, each in resources.items():
        if each["Type"] != "AWS::IAM::Role":
            continue
        inline = [policy["PolicyDocument"] for policy in each["Properties"].get("Policies", [])]
        if sum(map(length, inline)) > LONGEST_INLINE_POLICIES:
            faults.append(f"{name}: its policies are longer than the {LONGEST_INLINE_POLICIES} that IAM takes")
        attached = [policy["Ref"] for policy in each["Properties"].get("ManagedPolicyArns", []) if "Ref" in policy]
        roles[name] = inline + [managed[policy] for policy in attached]
    for name, documents in (audiences | roles).items():
        faults += [f"{name}: lacks {right}, which its rights to objects need" for right in sorted(missing(documents))]
    assert len(roles) > 19, f"the template has {len(roles)} roles"
    if faults:
        sys.exit("\n".join(faults))
    print(f"rights of {len(roles)} roles and {len(audiences)} policies agree with the keys of the layers")


main()
