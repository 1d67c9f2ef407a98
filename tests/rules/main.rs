//! The rules language: the shipped files and their examples, path tricks, speed, and what may go wrong in a file.

mod asking;
mod decisions;
mod files;
#[path = "../cli/fits.rs"]
mod fits;
mod grammars;
mod moments;
mod random;
mod readings;
mod schema;
mod shipped;
mod speed;
mod tricks;
