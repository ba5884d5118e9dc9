#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    rcm_platform::bootstrap::run(gold_report::handle).await
}
