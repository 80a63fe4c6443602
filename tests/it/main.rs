//! Integration tests.

mod proto_wire;
mod schema_checker;
mod support;
