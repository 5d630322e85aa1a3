"""The report as Markdown with pictures, for a pull request or a build server."""
