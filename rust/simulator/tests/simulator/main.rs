//! Tests of the simulator with a raw client. One binary, so that it is linked only once.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod chunking;
#[cfg(test)]
mod client;
#[cfg(feature = "cli")]
#[cfg(test)]
mod command;
#[cfg(test)]
mod dialect_faults;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod pacing;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scripts;
