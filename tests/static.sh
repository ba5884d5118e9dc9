#!/usr/bin/env bash
# Checks what is deployed without deploying it: the SAM template, the CloudFormation template that it
# becomes, and the state machines. Installs what it needs into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."
bash tests/aws/install-tools.sh sam checkov asl-validator

tools=$PWD/target/tools
transformed=$tools/transformed-template.yaml
export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1
# No tool may reach an account by mistake.
export AWS_ENDPOINT_URL=http://127.0.0.1:9 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none

(cd infra/aws && "$tools/sam/bin/sam" validate --lint)
"$tools/sam/bin/python" tests/aws/transform.py infra/aws/template.yaml >"$transformed"
# One region of each partition.
"$tools/sam/bin/cfn-lint" --regions us-east-1 us-gov-west-1 cn-north-1 -- "$transformed"
"$tools/sam/bin/python" tests/aws/rights.py "$transformed"
"$tools/sam/bin/python" tests/aws/deployable.py "$transformed"
for machine in pipeline claims-landed; do
  for partition in aws aws-us-gov aws-cn; do
    deployed=$tools/$machine.$partition.asl.json
    sed "s/\${Partition}/$partition/" "infra/aws/$machine.asl.json" >"$deployed"
    "$tools/npm/node_modules/.bin/asl-validator" --json-path "$deployed"
  done
done

# What plans, extracts or pulls links no engine for frames and no Delta: it would be three times as large.
for function in plan emr-extract landing-to-bronze npi-pull icd-pull; do
  linked=$(cargo tree --package "$function" --edges normal --prefix none)
  if grep -E '^(polars|deltalake)' <<<"$linked"; then
    echo "$function depends on these, by way of a shared crate of silver and gold" >&2
    exit 1
  fi
done

for template in infra/aws/template.yaml "$transformed"; do
  "$tools/checkov/bin/checkov" --config-file infra/aws/.checkov.yaml --file "$template"
done
