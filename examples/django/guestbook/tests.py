from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TestCase, override_settings

from .models import Entry

PUBLIC = {"HTTP_HOST": "mysite.com", "HTTP_X_FORWARDED_PROTO": "https"}


class HomeTest(TestCase):
    def test_shows_the_entries_in_the_database(self):
        Entry.objects.create(author="Ada", text="Lovely house")
        Entry.objects.create(author="Eve", text="Not for all eyes", visible=False)
        page = self.client.get("/", **PUBLIC)
        self.assertContains(page, "Lovely house")
        self.assertNotContains(page, "Not for all eyes")

    def test_form_adds_an_entry(self):
        answer = self.client.post("/", {"author": "Ada", "text": "Hello"}, **PUBLIC)
        self.assertRedirects(answer, "/", fetch_redirect_response=False)
        self.assertTrue(Entry.objects.filter(author="Ada", text="Hello").exists())

    def test_form_says_what_is_missing(self):
        answer = self.client.post("/", {"author": "Ada"}, **PUBLIC)
        self.assertContains(answer, "This field is required", status_code=422)

    def test_plain_http_is_redirected_with_path_and_query(self):
        answer = self.client.get("/?page=2", HTTP_HOST="mysite.com")
        self.assertRedirects(
            answer, "https://mysite.com/?page=2", status_code=301, fetch_redirect_response=False
        )

    def test_foreign_host_is_refused(self):
        answer = self.client.get("/", HTTP_HOST="evil.example", HTTP_X_FORWARDED_PROTO="https")
        self.assertEqual(answer.status_code, 400)

    def test_breaks_while_the_file_exists(self):
        self.client.raise_request_exception = False
        with TemporaryDirectory() as directory:
            switch = Path(directory, "broken")
            with override_settings(BREAK_HOME=str(switch)):
                self.assertEqual(self.client.get("/", **PUBLIC).status_code, 200)
                switch.touch()
                self.assertEqual(self.client.get("/", **PUBLIC).status_code, 500)
