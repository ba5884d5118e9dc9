#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    rcm_platform::bootstrap::run(emr_extract::handle).await
}
