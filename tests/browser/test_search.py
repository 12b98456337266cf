"""The search playground and the map in a browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse

from mastra_engine.models import VectorIndex
from tests.browser.conftest import follow
from tests.browser.filling import fill_with_articles
from tests.browser.looking import look, shine, until

pytestmark = pytest.mark.browser


@pytest.fixture
def articles(admin: Any) -> Any:
    cache.clear()
    fill_with_articles(200)
    return admin


def test_a_search_result_links_to_its_chunk(articles: Any) -> None:
    page = articles
    page.goto("/admin/mastra_engine/")
    follow(page.get_by_role("link", name="Search playground"))
    page.get_by_label("Query").fill("When do I get a refund for my invoice?")
    first_setting = page.get_by_role("group", name="First setting")
    first_setting.get_by_label("Filter", exact=True).fill('{"year": {"$gte": 2022}}')
    page.get_by_text("Compare with another setting").click()
    second_setting = page.get_by_role("group", name="Second setting")
    second_setting.get_by_label("Weight of vectors").fill("1")
    assert look(page, "playground-comparing") == []
    follow(page.get_by_role("button", name="Search", exact=True))
    for heading in ("First setting", "Second setting"):
        matches = page.get_by_role("region", name=heading)
        assert matches.locator(".me-hits > li").count() == 10
    page.get_by_role("region", name="First setting").scroll_into_view_if_needed()
    assert look(page, "found") == []

    first = page.get_by_role("region", name="First setting").locator(".me-hits > li").first
    assert "Billing" in first.inner_text()
    for part in ("Similarity", "Words", "refund"):
        assert first.get_by_role("rowheader", name=part).first.is_visible()
    id = first.get_by_role("link").first.inner_text()
    follow(first.get_by_role("link").first)
    assert page.get_by_text(id).count() > 0
    assert "Billing" in page.locator("body").inner_text()


def test_a_question_is_saved_and_measured_over_time(articles: Any) -> None:
    page = articles
    page.goto(reverse("admin:mastra_engine_playground"))
    page.get_by_label("Query").fill("When do I get a refund for my invoice?")
    follow(page.get_by_role("button", name="Search", exact=True))
    hits = page.get_by_role("region", name="Results").locator(".me-hits > li")
    for hit in (hits.nth(1), hits.nth(3)):
        hit.get_by_label("right").check()
    follow(page.get_by_role("button", name="Save as evaluation case"))
    assert page.get_by_text("When do I get a refund").first.is_visible()
    assert look(page, "evaluation-case") == []

    follow(page.get_by_role("link", name="Evaluations"))
    for weight in ("", "", "1"):
        follow(page.get_by_role("link", name="Measure"))
        page.get_by_label("Weight of vectors").fill(weight)
        follow(page.get_by_role("button", name="Measure"))
    follow(page.get_by_role("link", name="Measure"))
    assert look(page, "evaluate") == []
    page.goto(reverse("admin:mastra_engine_evaluations"))
    page.get_by_label("Search", exact=True).select_option("vectors:articles")
    follow(page.get_by_role("button", name="Show"))
    assert page.locator(".me-page tbody tr").count() == 2
    assert look(page, "evaluations-two") == []


def test_an_error_is_shown_at_its_field_and_can_be_corrected(articles: Any) -> None:
    page = articles
    page.goto(reverse("admin:mastra_engine_playground"))
    page.get_by_label("Query").fill("parcels")
    page.get_by_label("Filter", exact=True).first.fill('{"topic": {"$like": "ship"}}')
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.get_by_role("button", name="Search", exact=True).press("Enter")
    field = page.get_by_label("Filter", exact=True).first
    assert field.get_attribute("aria-invalid") == "true"
    assert "$like" in page.locator("#id_filter_error").inner_text()
    assert page.get_by_label("Query").input_value() == "parcels"
    assert look(page, "refused") == []

    field.fill('{"topic": "shipping"}')
    follow(page.get_by_role("button", name="Search", exact=True))
    documents = page.get_by_role("region", name="Results").inner_text()
    assert set(re.findall(r"(\w+), part", documents)) == {"Shipping"}


@pytest.fixture
def map_page(articles: Any) -> Any:
    index = VectorIndex.objects.get(name="articles")
    articles.goto(reverse("admin:mastra_engine_map", args=[index.pk]))
    return articles


def place_of(page: Any, group: int, point: int) -> dict[str, float]:
    """Return the coordinates of a point of the map."""
    matches: dict[str, float] = page.evaluate(
        "([group, point]) => {"
        "  const chart = Chart.getChart('map');"
        "  const { x, y } = chart.getDatasetMeta(group).data[point];"
        "  return { x, y };"
        "}",
        [group, point],
    )
    return matches


def test_a_point_links_to_its_chunk(map_page: Any) -> None:
    place = place_of(map_page, 3, 7)
    map_page.locator("#map").hover(position=place)
    until(map_page, "document.getElementById('map').style.cursor === 'pointer'")
    with map_page.expect_navigation(url="**/embedding/**"):
        map_page.locator("#map").click(position=place)
    assert "part" in map_page.locator("body").inner_text()


def test_colours_can_be_chosen_and_hidden(map_page: Any) -> None:
    html = "Chart.getChart('map').getVisibleDatasetCount()"
    assert map_page.evaluate(html) == 4
    map_page.get_by_role("checkbox", name="shipping").uncheck()
    assert map_page.evaluate(html) == 3
    map_page.get_by_label("Colour by").select_option("year")
    follow(map_page.get_by_role("button", name="Colour"))
    assert map_page.evaluate(html) == 5
    assert look(map_page, "map") == []


def test_the_map_follows_the_look(map_page: Any) -> None:
    colour = "Chart.getChart('map').options.scales.x.grid.color"
    light = map_page.evaluate(colour)
    shine(map_page, "dark")
    until(map_page, f"{colour} !== {light!r}")


def test_the_points_can_be_reached_without_the_picture(map_page: Any) -> None:
    map_page.get_by_text("Examples of each group as a list").press("Enter")
    map_page.get_by_role("link", name="Billing, part").first.press("Enter")
    map_page.wait_for_url("**/embedding/**")
