//! The judge as specified: cases as data, the matrix as one readable file, and properties over random deployments.

mod cases;
mod matrix;
mod oracle;
mod properties;
mod world;
