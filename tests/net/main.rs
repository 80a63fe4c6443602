//! The front door from the outside: real sockets, and a small processor that only echoes.

mod auth;
mod exhaustion;
mod http;
mod places;
mod proxy;
mod support;
mod time;
mod ws;
