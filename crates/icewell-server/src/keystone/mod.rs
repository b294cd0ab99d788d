//! Keystone v3: who the daemon, or the command, is to a Glance.
//!
//! [`Credentials`] are what somebody was told, checked and made into one request; [`Session`] turns them into a token
//! that is good now, and asks whose another token is. Where the fields come from (variables, `clouds.yaml`, options) is the command's to know.
//!
//! A secret is in three places only: in [`Credentials`], in the request to Keystone and in the field of the request to
//! Glance. None of these prints it, no error repeats it, and nothing writes it to the disk.

mod credentials;
mod login;
mod session;
mod subject;

pub use credentials::{Credentials, FIELDS};
pub(crate) use login::Token;
pub(crate) use session::Session;
pub(crate) use subject::Subject;
