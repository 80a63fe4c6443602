//! What a client is made of, and what it shows.

use super::*;
use crate::proto::CodexErrorInfo;

#[test]
fn an_address_is_shown_without_what_may_be_secret() {
    let url = "https://me:password@host:8443/v1/responses?key=1";
    assert_eq!(without_user_info(url), "https://host:8443/v1/responses");
    assert_eq!(user_info(url), Some("me:password"));
    assert_eq!(user_info("http://host/a@b"), None);
    assert_eq!(without_user_info("http://host/v1"), "http://host/v1");
}

#[test]
fn secrets_are_taken_out_of_what_a_provider_says() {
    let secrets = Secrets::new(["sk-secret-key".to_owned(), "no".to_owned(), String::new()]);
    let failure = ModelFailure {
        details: Some("Bearer sk-secret-key".to_owned()),
        ..ModelFailure::last("no key sk-secret-key here: sk-secret-key", CodexErrorInfo::Other)
    };
    let hidden = secrets.hide(failure);
    assert_eq!(hidden.message, "no key [hidden] here: [hidden]");
    assert_eq!(hidden.details.as_deref(), Some("Bearer [hidden]"));
}
