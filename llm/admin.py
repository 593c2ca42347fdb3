"""Operators look at model calls here, and keep the price table."""

import csv
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, DateTimeField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from config import formats
from config.admin import IdSearch, ModelAdmin, MomentWidget, ReadOnlyAdmin
from config.formats import written
from llm.ledger import summary
from llm.ledger.filters import CostFilter, DayFilter, ModelFilter, OutcomeFilter, ProviderFilter
from llm.ledger.prices import price_unpriced
from llm.models import Call, Price, Profile

# Rows of a CSV file, the newest.
_CSV_ROWS = 100_000
_CSV_FIELDS = (
    *("started_at", "purpose", "provider", "model", "prompt_tokens", "completion_tokens", "estimated", "cost"),
    *("price_id", "first_token_ms", "total_ms", "outcome", "fallback", "trace_id", "call_id"),
)


@admin.register(Call)
class CallAdmin(IdSearch, ReadOnlyAdmin):
    """The ledger, newest first, under its totals."""

    list_display = (
        *("started", "purpose", "provider", "model", "tokens", "usd", "first_token_ms", "total_ms", "outcome"),
        "fallback",
    )
    list_filter = (
        *(DayFilter, "purpose", ProviderFilter, ModelFilter, OutcomeFilter, "fallback", "estimated", CostFilter),
    )
    fields = (
        *("call_id", "started_at", "purpose", "provider", "model", "prompt_tokens", "completion_tokens", "estimated"),
        *("usd", "price", "first_token_ms", "total_ms", "outcome", "fallback", "trace_id"),
    )
    readonly_fields = ("usd",)
    id_fields = ("trace_id", "call_id")
    search_fields = ("=model",)
    search_help_text = _("The id of a trace or a call, or the name of a model.")
    # The indexes are in this order.
    ordering = ("-started_at", "-call_id")
    list_per_page = 50
    show_full_result_count = False
    actions = ("price_calls",)

    class Media:
        css: ClassVar = {"all": ("css/calls.css",)}

    @admin.display(description=_("started, UTC"), ordering="started_at")
    def started(self, call: Call) -> str:
        """Show when, to the second."""
        return formats.moment(call.started_at)

    @admin.display(description=_("tokens, prompt + answer"))
    def tokens(self, call: Call) -> str:
        """Show both numbers, and whether they are an estimate."""
        both = f"{written(call.prompt_tokens)} + {written(call.completion_tokens)}"
        return gettext("about %(tokens)s") % {"tokens": both} if call.estimated else both

    @admin.display(description=_("cost, USD"), ordering="cost")
    def usd(self, call: Call) -> str:
        """Show what it cost; none is not nothing."""
        return gettext("unknown") if call.cost is None else summary.dollars(call.cost)

    @admin.action(description=_("Price the selected calls of unknown cost"), permissions=["price"])
    def price_calls(self, request: HttpRequest, calls: QuerySet[Call]) -> None:
        """Apply the price table to calls that were made before it knew a price."""
        priced = price_unpriced(calls)
        level = messages.SUCCESS if priced else messages.WARNING
        said = ngettext(
            "%(count)s call of unknown cost was priced.", "%(count)s calls of unknown cost were priced.", priced
        )
        self.message_user(request, said % {"count": written(priced)}, level)

    def has_price_permission(self, request: HttpRequest) -> bool:
        """Those may who may change calls; there is nothing else to change about them."""
        return request.user.has_perm("llm.change_call")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it what it amounts to."""
        response: HttpResponse = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            changes: ChangeList = context["cl"]
            context["summary"] = summary.of(changes.queryset, changes.get_query_string)
            context["csv_rows"] = _CSV_ROWS
        return response

    def get_urls(self) -> list[URLPattern]:
        """Add the CSV file."""
        return [path("csv/", self.admin_site.admin_view(self.download), name="llm_call_csv"), *super().get_urls()]

    def download(self, request: HttpRequest) -> HttpResponse:
        """Send the filtered list as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            calls = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseBadRequest(gettext("There is no such filter. Go back to the list and choose again."))
        response = HttpResponse(content_type="text/csv")
        response["Content-Disposition"] = f'attachment; filename="calls-{timezone.now():%Y-%m-%d}.csv"'
        writer = csv.writer(response)
        writer.writerow(_CSV_FIELDS)
        writer.writerows([_cell(value) for value in row] for row in calls.values_list(*_CSV_FIELDS)[:_CSV_ROWS])
        return response


def _cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: a model's name may be the provider's word."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@admin.register(Price)
class PriceAdmin(ModelAdmin):
    """The price table. A version that was applied to calls is there to be read."""

    list_display = ("provider", "meant_for", "since", "prompt", "answer", "applied_to", "note")
    list_filter = ("provider",)
    search_fields = ("model",)
    formfield_overrides: ClassVar = {DateTimeField: {"widget": MomentWidget}}

    class Media:
        css: ClassVar = {"all": ("css/calls.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        """Count the calls, for the list."""
        prices: QuerySet[Price] = super().get_queryset(request)
        return prices.annotate(number_of_calls=Count("calls"))

    @admin.display(description=_("model"), ordering="model")
    def meant_for(self, price: Price) -> str:
        """Name the model."""
        return price.model or gettext("every model")

    @admin.display(description=_("since, UTC"), ordering="valid_from")
    def since(self, price: Price) -> str:
        """Show from when on it holds, mostly the beginning of a day."""
        return f"{formats.day(price.valid_from)} {price.valid_from:%H:%M}".removesuffix(" 00:00")

    @admin.display(description=_("prompt, a million tokens"), ordering="prompt_usd")
    def prompt(self, price: Price) -> str:
        """Show what a million tokens of prompts cost."""
        return summary.dollars(price.prompt_usd)

    @admin.display(description=_("answer, a million tokens"), ordering="completion_usd")
    def answer(self, price: Price) -> str:
        """Show what a million tokens of answers cost."""
        return summary.dollars(price.completion_usd)

    @admin.display(description=_("calls"))
    def applied_to(self, price: Price) -> int:
        """Show how many calls were priced with it."""
        count: int = getattr(price, "number_of_calls", 0)
        return count

    def get_fieldsets(self, request: HttpRequest, obj: Price | None = None) -> Any:
        """Say why a version cannot be changed."""
        fieldsets = super().get_fieldsets(request, obj)
        said = ""
        if obj and obj.applied:
            said = gettext(
                "Calls were priced with this version, so it stays as it is. "
                "If the price has changed, add a new version."
            )
        return [(None, {**fieldsets[0][1], "description": said})]

    def has_change_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        """Only what no call was priced with."""
        return super().has_change_permission(request, obj) and not (obj and obj.applied)

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        """Only what no call was priced with."""
        return super().has_delete_permission(request, obj) and not (obj and obj.applied)


@admin.register(Profile)
class ProfileAdmin(ModelAdmin):
    """The about page's one row: its list is its form."""

    fields = ("owner", "greeting", "introduction", "suggestions", "system_prompt")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the form."""
        if Profile.objects.exists():
            return redirect("admin:llm_profile_change", 1)
        return redirect("admin:llm_profile_add") if self.has_add_permission(request) else redirect("admin:index")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Once."""
        return super().has_add_permission(request) and not Profile.objects.exists()
