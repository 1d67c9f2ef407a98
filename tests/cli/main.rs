//! The program as an administrator meets it: the command line, the configuration and its errors.

mod bad_files;
mod certificates;
mod deploy;
mod fits;
mod flags;
mod good_files;
mod help;
mod mutations;
mod program;
mod rules;
mod schema;
