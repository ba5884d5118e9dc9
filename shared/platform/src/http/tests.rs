use reqwest::{Method, Request};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use wiremock::matchers::{any, body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Client, RegistryReply};
use crate::config::Http;
use crate::error::{Result, StageError};
use crate::testing::TestLake;

/// Options without a pause that a test would notice.
fn hasty() -> Http {
    Http { requests_per_second: 10_000.0, tries: 3, first_pause_seconds: 0.001, ..Http::default() }
}

async fn client(options: Http) -> Client {
    Client::new(&TestLake::new().context().await, "made-up registry", &options).unwrap()
}

async fn ask(options: Http, url: &str) -> Result<RegistryReply<Value>> {
    client(options).await.json(Request::new(Method::GET, format!("{url}/?number=1000000004").parse().unwrap())).await
}

fn found(answer: Result<RegistryReply<Value>>) -> Value {
    match answer {
        Ok(RegistryReply::Found(value)) => value,
        other => panic!("{other:?}"),
    }
}

/// A server that gives these answers, one after another, and then `{}`.
async fn server(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    for answer in answers {
        Mock::given(any()).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).mount(&server).await;
    server
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_server_error_is_no_last_word() {
    let server = server(vec![ResponseTemplate::new(503), ResponseTemplate::new(500)]).await;
    assert_eq!(found(ask(hasty(), &server.uri()).await), json!({}));
    assert_eq!(requests(&server).await, 3);
}

#[rstest]
#[case::server_error(ResponseTemplate::new(502), "SourceUnavailable")]
#[case::no_patience_left(ResponseTemplate::new(429), "Throttled")]
#[case::no_json(ResponseTemplate::new(200).set_body_string("<html>back soon</html>"), "SourceUnavailable")]
#[case::half_an_answer(ResponseTemplate::new(200).set_body_string("{\"a\": "), "SourceUnavailable")]
#[tokio::test]
async fn after_the_last_try_the_error_says_what_it_was(#[case] answer: ResponseTemplate, #[case] expected: &str) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).expect(3).mount(&server).await;
    let error = ask(hasty(), &server.uri()).await.unwrap_err();
    assert_eq!(error.name(), expected);
    assert!(error.to_string().contains("made-up registry") && !error.to_string().contains("1000000004"), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_timeout() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(std::time::Duration::from_mins(5));
    Mock::given(any()).respond_with(late).mount(&server).await;
    let options = Http { timeout_seconds: 0.05, tries: 2, ..hasty() };
    assert_eq!(ask(options, &server.uri()).await.unwrap_err().name(), "Timeout");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // A port that is taken and never listens: nobody else can answer there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    assert_eq!(ask(hasty(), &url).await.unwrap_err().name(), "SourceUnavailable");
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for body in ["{\"cut\": ", "{\"whole\": 1}"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    assert_eq!(found(ask(hasty(), &url).await), json!({"whole": 1}));
}

#[tokio::test]
async fn the_pause_that_the_server_asks_for_goes_before_our_own() {
    let throttled = ResponseTemplate::new(429).insert_header("retry-after", "0");
    let server = server(vec![throttled]).await;
    let options = Http { first_pause_seconds: 60.0, ..hasty() };
    found(ask(options, &server.uri()).await);
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn a_server_that_asks_for_a_long_pause_is_left_alone() {
    let server = server(vec![ResponseTemplate::new(429).insert_header("retry-after", "3600")]).await;
    let error = ask(hasty(), &server.uri()).await.unwrap_err();
    assert_eq!(error.to_string(), "throttled: made-up registry: answers 429 and asks to wait 3600 s");
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn a_date_to_come_back_at_is_held_against_the_servers_clock() {
    let headers = ResponseTemplate::new(503)
        .insert_header("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT")
        .insert_header("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let server = server(vec![headers]).await;
    let error = ask(hasty(), &server.uri()).await.unwrap_err();
    assert!(error.to_string().ends_with("asks to wait 120 s"), "{error}");
}

#[rstest]
#[case(302)]
#[case(404)]
#[tokio::test]
async fn what_another_try_would_not_change_is_answered_at_once(#[case] status: u16) {
    let server = server(vec![ResponseTemplate::new(status).insert_header("location", "/elsewhere")]).await;
    let Ok(RegistryReply::Refused(refused)) = ask(hasty(), &server.uri()).await else { panic!("not refused") };
    assert_eq!((refused.as_u16(), requests(&server).await), (status, 1));
}

#[tokio::test]
async fn json_of_another_shape_breaks_the_contract() {
    let server = server(Vec::new()).await;
    let request = Request::new(Method::GET, server.uri().parse().unwrap());
    let answer: Result<RegistryReply<Vec<u8>>> = client(hasty()).await.json(request).await;
    assert_eq!(answer.unwrap_err().name(), "BrokenContract");
    assert_eq!(requests(&server).await, 1);
}

mod icd {
    use super::super::icd::{Node, Release};
    use super::*;
    use crate::config;
    use crate::context::Context;
    use crate::http::token;

    const TOKEN: &str = "/connect/token";
    const NODE: &str = "/icd/release/10/2019/Z90";

    /// A lake whose secret `icd-api` is this one.
    async fn context(lake: &TestLake, client_secret: &str) -> Context {
        let mut context = lake.context().await;
        context.environment.secrets_file = Some(lake.path("secrets.json"));
        let secret = json!({"icd-api": {"client_id": "id", "client_secret": client_secret}});
        lake.write("secrets.json", secret.to_string());
        context
    }

    fn options(base_url: &str, token_url: Option<String>) -> config::Icd {
        config::Icd {
            base_url: base_url.to_owned(),
            token_url,
            secret: Some("icd-api".to_owned()),
            release: "2019".to_owned(),
            language: "en".to_owned(),
            chapters: Vec::new(),
            max_age_days: 1,
            http: hasty(),
        }
    }

    async fn release_of(context: &Context, server: &MockServer) -> Release {
        let options = options(&server.uri(), Some(format!("{}{TOKEN}", server.uri())));
        Release::new(context, &options).await.unwrap()
    }

    async fn release(server: &MockServer) -> Release {
        let lake = TestLake::new();
        release_of(&context(&lake, "s&cret").await, server).await
    }

    /// Grants `token-1`, `token-2` and so on, each for so many seconds.
    async fn grant(server: &MockServer, seconds: &[u64]) {
        for (index, seconds) in seconds.iter().enumerate() {
            let granted = json!({"access_token": format!("token-{}", index + 1), "expires_in": seconds});
            Mock::given(method("POST"))
                .and(path(TOKEN))
                .and(body_string_contains("grant_type=client_credentials&scope=icdapi_access"))
                .and(body_string_contains("client_id=id&client_secret=s%26cret"))
                .respond_with(ResponseTemplate::new(200).set_body_json(granted))
                .up_to_n_times(1)
                .mount(server)
                .await;
        }
    }

    /// Answers the node to this token alone.
    async fn answer_to(server: &MockServer, token: &str) {
        let answer = json!({"code": "Z90", "title": {"@value": "Made up"}, "classKind": "category"});
        Mock::given(path(NODE))
            .and(header("authorization", format!("Bearer {token}").as_str()))
            .and(header("api-version", "v2"))
            .and(header("accept-language", "en"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(server)
            .await;
        Mock::given(path(NODE)).respond_with(ResponseTemplate::new(401)).with_priority(9).mount(server).await;
    }

    async fn requests_of(server: &MockServer, wanted: &str) -> usize {
        server.received_requests().await.unwrap().iter().filter(|request| request.url.path() == wanted).count()
    }

    fn title(node: Result<Option<Node>>) -> Option<String> {
        node.unwrap().unwrap().title
    }

    #[tokio::test]
    async fn one_token_serves_many_requests() {
        let server = MockServer::start().await;
        grant(&server, &[3600]).await;
        answer_to(&server, "token-1").await;
        let release = release(&server).await;
        let (one, other) = tokio::join!(release.node("Z90"), release.node("Z90"));
        assert_eq!((title(one), title(other)), (Some("Made up".to_owned()), Some("Made up".to_owned())));
        assert_eq!((requests_of(&server, TOKEN).await, requests_of(&server, NODE).await), (1, 2));
    }

    #[tokio::test]
    async fn a_token_at_its_end_is_not_used() {
        let server = MockServer::start().await;
        grant(&server, &[0, 3600]).await;
        for token in ["token-1", "token-2"] {
            answer_to(&server, token).await;
        }
        let release = release(&server).await;
        for _ in 0..3 {
            release.node("Z90").await.unwrap();
        }
        assert_eq!((requests_of(&server, TOKEN).await, requests_of(&server, NODE).await), (2, 3));
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_asked_for_once_more() {
        let server = MockServer::start().await;
        grant(&server, &[3600, 3600]).await;
        answer_to(&server, "token-2").await;
        release(&server).await.node("Z90").await.unwrap();
        assert_eq!((requests_of(&server, TOKEN).await, requests_of(&server, NODE).await), (2, 2));
    }

    #[tokio::test]
    async fn a_token_that_is_refused_twice_is_bad_configuration() {
        let server = MockServer::start().await;
        grant(&server, &[3600, 3600]).await;
        answer_to(&server, "another token").await;
        let error = release(&server).await.node("Z90").await.unwrap_err();
        assert_eq!((error.name(), requests_of(&server, NODE).await), ("BadConfig", 2));
    }

    #[tokio::test]
    async fn credentials_that_are_refused_are_never_said() {
        let server = MockServer::start().await;
        Mock::given(path(TOKEN)).respond_with(ResponseTemplate::new(400)).mount(&server).await;
        let lake = TestLake::new();
        let release = release_of(&context(&lake, "s&cret").await, &server).await;
        let error = release.node("Z90").await.unwrap_err();
        assert_eq!(error.to_string(), "bad configuration: ICD API: no token for the secret `icd-api`: 400");
    }

    #[tokio::test]
    async fn a_secret_that_is_refused_is_read_again() {
        let server = MockServer::start().await;
        grant(&server, &[3600]).await;
        Mock::given(path(TOKEN)).respond_with(ResponseTemplate::new(401)).with_priority(9).mount(&server).await;
        answer_to(&server, "token-1").await;
        let lake = TestLake::new();
        let release = release_of(&context(&lake, "old").await, &server).await;
        context(&lake, "s&cret").await;
        release.node("Z90").await.unwrap();
        assert_eq!(requests_of(&server, TOKEN).await, 2);
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_none_and_a_question_that_is_refused_breaks_the_contract() {
        let server = MockServer::start().await;
        grant(&server, &[3600]).await;
        Mock::given(path(NODE)).respond_with(ResponseTemplate::new(400)).mount(&server).await;
        let release = release(&server).await;
        assert_eq!(release.node("Z99").await, Ok(None));
        let refused = StageError::broken_contract("ICD API: answers 400 for `Z90`".to_owned());
        assert_eq!(release.node("Z90").await, Err(refused));
    }

    #[rstest]
    #[case::with_tokens("http://id.test", true, false)]
    #[case::without_any("http://id.test", false, true)]
    #[case::encrypted("https://id.test", true, true)]
    #[case::of_this_machine("http://127.0.0.1:9", true, true)]
    #[tokio::test]
    async fn a_token_leaves_the_machine_encrypted_or_not_at_all(
        #[case] base_url: &str,
        #[case] has_tokens: bool,
        #[case] expected: bool,
    ) {
        let lake = TestLake::new();
        let options = options(base_url, has_tokens.then(|| "https://id.test/token".to_owned()));
        match Release::new(&context(&lake, "s&cret").await, &options).await {
            Ok(_) => assert!(expected),
            Err(error) => assert!(!expected && error.to_string().contains("[icd] base_url must be https"), "{error}"),
        }
    }

    #[rstest]
    #[case("http://id.test/token", false)]
    #[case("https://id.test/token", true)]
    #[case("http://127.0.0.1:9/token", true)]
    #[case("http://localhost:9/token", true)]
    #[case("http://localhost.test/token", false)]
    fn a_secret_leaves_the_machine_encrypted_or_not_at_all(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(token::usable("token_url", url).is_ok(), expected);
    }
}
