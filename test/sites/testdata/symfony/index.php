<?php
// A Symfony application in one file; each site of the corpus has its own
// site.php.
foreach (['HttpKernel', 'HttpFoundation', 'EventDispatcher', 'ErrorHandler'] as $component) {
    require_once "/usr/share/php/Symfony/Component/$component/autoload.php";
}

use Symfony\Component\ErrorHandler\ErrorRenderer\HtmlErrorRenderer;
use Symfony\Component\EventDispatcher\EventDispatcher;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpKernel\Controller\ControllerResolver;
use Symfony\Component\HttpKernel\EventListener\ValidateRequestListener;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;
use Symfony\Component\HttpKernel\HttpKernel;
use Symfony\Component\HttpKernel\KernelEvents;

$site = require __DIR__ . '/site.php';
Request::setTrustedHosts($site['trusted_hosts']);

$pages = [
    '/' => fn () => new Response('<h1>Shop</h1>'),
    '/health' => fn () => new Response('ok', 200, ['Content-Type' => 'text/plain']),
    '/broken' => fn () => throw new RuntimeException('no such discount'),
];
$events = new EventDispatcher();
$events->addSubscriber(new ValidateRequestListener());
$events->addListener(KernelEvents::REQUEST, function ($event) use ($pages) {
    $path = $event->getRequest()->getPathInfo();
    if (!isset($pages[$path])) {
        throw new NotFoundHttpException("No route found for \"GET $path\"");
    }
    $event->getRequest()->attributes->set('_controller', $pages[$path]);
});
$events->addListener(KernelEvents::EXCEPTION, function ($event) use ($site) {
    error_log($event->getThrowable());
    $page = (new HtmlErrorRenderer($site['debug']))->render($event->getThrowable());
    $event->setResponse(new Response($page->getAsString(), $page->getStatusCode(), $page->getHeaders()));
});

(new HttpKernel($events, new ControllerResolver()))->handle(Request::createFromGlobals())->send();
