"""The HTML report and its summary. Every sentence that a reader sees is composed here."""
