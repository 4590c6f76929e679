//! Acknowledged means durable: processes are killed and power is cut, and a client that wrote
//! down every acknowledgement compares.

mod kills;
mod power;
mod writers;
