//! An on-disk cache of large, immutable files: one directory is the whole database.

mod image_id;
pub mod layout;

pub use image_id::{ImageId, InvalidImageId};
