#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    rcm_platform::bootstrap::run(landing_to_bronze::handle).await
}
