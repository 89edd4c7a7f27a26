//! calotype: one master per picture, every rendition made on request.
