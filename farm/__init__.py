"""facefarm without Ray: settings, media, faces, models, processors, reports."""
