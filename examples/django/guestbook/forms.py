from django import forms

from .models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["author", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 3})}
