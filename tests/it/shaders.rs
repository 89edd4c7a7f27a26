//! shaders.
