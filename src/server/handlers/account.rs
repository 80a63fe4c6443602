//! `account/*`: signing in with an API key, and out again. There is no cloud account here.

use crate::model::StoredKey;
use crate::proto::{
    Account, AccountLoginCompleted, AccountUpdated, CancelLoginAccountParams, CancelLoginAccountResponse,
    CancelLoginAccountStatus, EmptyResponse, GetAccountParams, GetAccountResponse, LoginAccountParams,
    LoginAccountResponse, NoParams,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;

/// `account/read`: whether a key is kept; none is needed.
pub(in crate::server) fn read(
    processor: &mut Processor,
    _: Caller,
    _: GetAccountParams,
) -> Result<GetAccountResponse, RpcError> {
    let account = processor.signed_in.then_some(Account::ApiKey);
    Ok(GetAccountResponse { account, ..Default::default() })
}

/// `account/login/start`: keeps an API key. Everything else needs the vendor's cloud.
pub(in crate::server) fn login(
    processor: &mut Processor,
    _: Caller,
    params: LoginAccountParams,
    reply: Reply,
) {
    let LoginAccountParams::ApiKey { api_key } = params else {
        let text = "this way to sign in is not supported here: this server has no cloud account; \
                    sign in with an API key (type \"apiKey\"), or set `env_key` of the model provider";
        return reply.refuse(RpcError::invalid_request(text).with(Reason::UnsupportedMethod));
    };
    let key = api_key.trim().to_owned();
    if let Err(why) = StoredKey::check(&key) {
        return reply.refuse(RpcError::invalid_request(why).with(Reason::InvalidParams));
    }
    processor.change_account(
        reply,
        LoginAccountResponse::ApiKey,
        /*signed_in*/ true,
        move |stored| stored.keep(&key),
    );
}

/// `account/login/cancel`: a sign-in with a key is over at once, so none is ever pending.
pub(in crate::server) fn cancel(
    _: &mut Processor,
    _: Caller,
    _: CancelLoginAccountParams,
) -> Result<CancelLoginAccountResponse, RpcError> {
    Ok(CancelLoginAccountResponse { status: CancelLoginAccountStatus::NotFound })
}

/// `account/logout`: forgets the key.
pub(in crate::server) fn logout(processor: &mut Processor, _: Caller, _: NoParams, reply: Reply) {
    processor.change_account(reply, EmptyResponse {}, /*signed_in*/ false, StoredKey::remove);
}

impl Processor {
    /// Changes the kept key on a worker, one after the other, then answers, then tells everybody.
    fn change_account<R: serde::Serialize + Send + 'static>(
        &mut self,
        reply: Reply,
        answer: R,
        signed_in: bool,
        change: impl FnOnce(&StoredKey) -> std::io::Result<()> + Send + 'static,
    ) {
        let stored = self.facts.current.models.stored_key();
        let rest = move |processor: &mut Self, reply: Reply, changed: std::io::Result<()>| match changed {
            Ok(()) => {
                processor.signed_in = signed_in;
                reply.send(Ok(answer));
                processor.tell_account();
            }
            Err(error) => {
                let text = format!("the API key's file could not be changed: {error}");
                reply.refuse(RpcError::internal(text).with(Reason::FileSystem));
            }
        };
        self.change_account_file(reply, move || change(&stored), rest);
    }

    fn tell_account(&mut self) {
        if self.signed_in
            && let Some(encoded) = self.encode(&AccountLoginCompleted {
                login_id: None,
                success: true,
                error: None,
                onboarding_entrypoint: None,
            })
        {
            self.sessions.broadcast(&encoded);
        }
        let auth_mode = self.signed_in.then_some("apikey");
        if let Some(encoded) = self.encode(&AccountUpdated { auth_mode, plan_type: None }) {
            self.sessions.broadcast(&encoded);
        }
    }
}
