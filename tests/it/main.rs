//! Integration tests: they speak the protocol to the real binary.

mod asking;
mod capabilities;
mod command_line;
mod connections;
mod envelope;
mod family;
mod floods;
mod handshake;
mod homes;
mod kill;
mod lists;
mod pipe;
mod proto_wire;
mod providers;
mod sandbox;
mod schedules;
mod schema_checker;
mod steering;
mod submissions;
mod support;
mod threads;
mod tidy;
mod turns;
mod unloading;
mod websocket_end;
