//! Learners against scikit-learn, their files, and what they make of odd rows.

mod choosing;
mod files;
mod goldens;
mod made;
mod odd_rows;
